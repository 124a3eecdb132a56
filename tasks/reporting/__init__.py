"""What the report is made of, a module for each section of the page."""
