import pytest

from models.transfer.source_files import found
from pipeline.errors import InputError


@pytest.fixture
def given(tmp_path):
    folder = tmp_path / "given"
    (folder / "pets").mkdir(parents=True)
    (folder / "model.keras").write_text("")
    (tmp_path / "outside.keras").write_text("")
    return folder


def test_files_and_folders_below_are_found(given):
    assert found(str(given), "model.keras") == given / "model.keras"
    assert found(str(given), "pets") == given / "pets"
    assert found(str(given), ".") == given


def test_a_single_file_is_found_by_its_name(given):
    assert found(str(given / "model.keras"), "model.keras") == given / "model.keras"
    with pytest.raises(InputError, match=r"is the file .*model.keras: name 'model.keras', or put"):
        found(str(given / "model.keras"), "other.keras")


@pytest.mark.parametrize("name", ["../outside.keras", "/etc/hostname", "pets/../../outside.keras"])
def test_a_path_that_leads_outside_is_refused(given, name):
    with pytest.raises(InputError, match="leads outside of it"):
        found(str(given), name)


def test_a_link_that_leads_outside_is_refused(given):
    (given / "link.keras").symlink_to(given.parent / "outside.keras")

    with pytest.raises(InputError, match="leads outside of it"):
        found(str(given), "link.keras")


def test_an_absolute_path_into_the_folder_is_refused_too(given):
    with pytest.raises(InputError, match="Give paths relative to that folder"):
        found(str(given), str(given / "model.keras"))


def test_what_is_not_there_is_told_with_what_is(given):
    with pytest.raises(InputError) as refused:
        found(str(given), "modle.keras")

    assert "there is no 'modle.keras' in it. Did you mean 'model.keras'?" in str(refused.value)
    assert "There are: model.keras, pets." in str(refused.value)
    assert str(given) in str(refused.value)


def test_nothing_given_is_told(given):
    with pytest.raises(InputError, match="pretrained is null"):
        found(None, "model.keras")
    with pytest.raises(InputError, match=r"no such file or folder.*\n.*dvc pull"):
        found(str(given / "elsewhere"), "model.keras")
