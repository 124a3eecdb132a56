"""`fettle ui`: Prefect's server and UI, and the flow served on the schedule in params.yaml."""

from pipeline.project import open_project


def serve() -> None:
    """Serve until interrupted; a server started for this is stopped with it."""
    from pipeline import server

    project = open_project()
    params = project.params()
    project.require_rendered()
    started = server.configured_url() is None and server.find(project.root) is None
    url = server.use(project.root)
    from flows.schedule import training_run

    print(f"Prefect UI: {url.removesuffix('/api')}", flush=True)
    print(f"Schedule: {params.run.schedule} (cron, UTC). Ctrl-C ends it.", flush=True)
    try:
        training_run.serve(
            name="scheduled",
            cron=params.run.schedule,
            pause_on_shutdown=True,
            print_starting_message=False,
            # Two runs in one checkout would only refuse each other.
            limit=1,
        )
    finally:
        if started:
            server.stop(project.root)
