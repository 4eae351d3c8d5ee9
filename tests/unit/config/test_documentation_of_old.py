"""OMERO's documentation of OMERO.fs, 4.2.2: each sentence about a property, and what proves it.

A sentence names the tests that show it, or is superseded: then it stands in
docs/configuration.rst, with why.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.properties import BY_NAME, PROPERTIES
from omero_fs_plugin.config.settings import EVERYONE
from tests import CHECKOUT

TESTS = CHECKOUT / "tests"
REFERENCE = CHECKOUT / "docs" / "configuration.rst"

SUPERSEDED = "superseded"
_SETTINGS = "unit/config/test_settings.py"
_DEFAULTS = "unit/config/test_documentation_of_old.py::test_the_documented_default"

# Sentence -> the tests that show it, and SUPERSEDED where that is not all of it.
TABLE: dict[str, tuple[str, ...]] = {
    "The filesystem which OMERO.fs watches must be local to the given operating system.": (
        "integration/monitor/test_mounts.py",
    ),
    "Watching a network-attached share (NAS) is strictly not supported.": (SUPERSEDED,),
    "In its default configuration the monitored area of the file system is a DropBox "
    "subdirectory of the OmeroBinaryRepository directory.": (
        f"{_SETTINGS}::test_the_defaults_are_the_documented_ones",
    ),
    "Experimenters can add subdirectories under their named directory for convenience.": (
        "unit/dropbox/test_places.py::test_everyone_has_a_subdirectory",
        "acceptance/test_import.py::test_directory_moved_in_with_its_files",
    ),
    "OMERO.dropbox can be configured in several ways through etc/grid/templates.xml.": (
        "unit/deployment/test_sources.py::test_an_edited_templates_xml_counts",
    ),
    "In its default configuration, as detailed above, it monitors the subdirectory DropBox of the "
    "OMERO data directory for all users.": (
        f"{_SETTINGS}::test_the_defaults_are_the_documented_ones",
        "unit/dropbox/test_places.py::test_everyone_has_a_subdirectory",
    ),
    "A number of the properties in templates.xml accept a semi-colon separated list of values.": (
        f"{_SETTINGS}::test_the_entry_of_each_user",
    ),
    "This extended configuration allows a site to watch multiple directories, and configure each "
    "for a different user, a different type of file, etc.": (
        "unit/dropbox/test_places.py::test_the_most_specific_rule_holds",
        "unit/dropbox/test_places.py::test_lists_hold_for_files_that_a_rescan_finds",
        "acceptance/test_reload.py::test_watches_come_change_and_go",
    ),
    'Any value missing from the configuration (e.g. value="1;;2") will be replaced by the '
    "default value.": (f"{_SETTINGS}::test_the_entry_of_each_user", SUPERSEDED),
    "One example alternative configuration would be to watch specific directories for specific "
    "users.": (f"{_SETTINGS}::test_the_documented_example_of_two_directories",),
    "In the example below two directories are monitored, one for user amy and one for zak:": (
        f"{_SETTINGS}::test_the_documented_example_of_two_directories",
    ),
    "The remaining properties have been left at their default values for both users.": (
        f"{_SETTINGS}::test_the_documented_example_of_two_directories",
    ),
    "To limit DropBox to import only files belonging to specific image types the following "
    "property can be set,": (
        "integration/dropbox/grouping/test_groupers.py::test_only_what_listed_readers_read",
    ),
    "Here only the image types listed in my_readers.txt will be imported for the user amy while "
    "the system-wide readers.txt will be used for zak.": (
        f"{_SETTINGS}::test_the_documented_full_example",
        "unit/config/test_readers.py::test_what_a_list_takes",
        "integration/dropbox/grouping/test_groupers.py::test_only_what_listed_readers_read",
    ),
    "Each property takes the form of a single item or a semi-colon separated list of items.": (
        f"{_SETTINGS}::test_the_entry_of_each_user",
    ),
    "Where the item is a list values within that list should be comma separated.": (
        f"{_SETTINGS}::test_a_value_means_what_it_says",
    ),
    "The importUsers is either default for the standard DropBox configuration or a list of OMERO "
    "user names.": (
        f"{_SETTINGS}::test_everyone_beside_named_users",
        f"{_SETTINGS}::test_a_user_may_have_several_directories",
        SUPERSEDED,
    ),
    "The default is default.": (_DEFAULTS,),
    "The absolute directory path of interest for each user.": (
        f"{_SETTINGS}::test_a_value_means_what_it_says",
        f"{_SETTINGS}::test_a_value_that_cannot_be_honoured_is_told",
    ),
    "For automatic import Creation and Modification events are monitored.": (
        "unit/dropbox/watching/test_event_types.py::test_a_changed_file_is_imported_where_that_is_asked_for",
        "acceptance/test_once.py::test_other_content_under_the_same_name_is_a_second_fileset",
    ),
    "It is also possible to monitor Deletion events though these are not used by DropBox.": (
        "unit/dropbox/watching/test_event_types.py::test_a_deletion_takes_nothing_out_of_omero",
        "integration/monitor/test_server.py::test_only_the_events_that_were_asked_for",
    ),
    "The default is Creation,Modification": (_DEFAULTS,),
    "By default existing and newly created subdirectories are monitored.": (
        "integration/monitor/test_contract.py::test_new_directories_and_what_is_in_them",
        "integration/monitor/test_contract.py::test_path_modes",
    ),
    'It is possible to restrict monitoring to a single directory ("Flat"), only existing '
    'subdirectories ("Recurse"), or all subdirectories ("Follow").': (
        "integration/monitor/test_contract.py::test_path_modes",
        "unit/dropbox/test_places.py::test_flat_is_a_users_directory_itself",
        "unit/dropbox/test_places.py::test_recurse_is_the_subdirectories_there_at_the_start",
    ),
    "For DropBox to function correctly the mode should be Follow.": (SUPERSEDED,),
    "The default is Follow": (_DEFAULTS,),
    "A list of file extensions of interest.": ("unit/test_filters.py::test_whitelist", SUPERSEDED),
    "An empty list implies all file extensions are monitored.": (
        "unit/test_filters.py::test_blank_items_are_no_rules",
        "unit/test_filters.py::test_no_system_files",
    ),
    "The default is an empty list.": (_DEFAULTS,),
    "A list of subdirectories to ignore. Not currently supported.": (
        "unit/test_filters.py::test_blacklist",
        "unit/dropbox/test_places.py::test_a_blacklisted_user_directory_is_passed_over",
        SUPERSEDED,
    ),
    "This timeout in seconds is used by one-shot monitors. This property is not used by DropBox.": (
        "integration/monitor/test_server.py::test_a_one_shot_monitor_ends_after_its_time",
        "unit/dropbox/watching/test_event_types.py::test_what_dropbox_asks_fsserver_for",
        SUPERSEDED,
    ),
    "The number of events that should be propagated to DropBox in one go.": (
        "integration/monitor/test_server.py::test_block_size",
        "unit/dropbox/watching/test_event_types.py::test_what_dropbox_asks_fsserver_for",
    ),
    "Zero implies all events possible.": ("integration/monitor/test_server.py::test_block_size",),
    "The default is zero.": (_DEFAULTS,),
    "If this is True events concerning system files, such as filenames beginning with a dot or "
    "default new folder names, are ignored.": (
        "unit/test_filters.py::test_system_files",
        "unit/test_filters.py::test_system_directories_are_not_entered",
        "unit/test_filters.py::test_a_new_folder_is_entered_and_not_told",
    ),
    "The exact events ignored will be OS-dependent.": (SUPERSEDED,),
    "The default is True": (_DEFAULTS,),
    "If this is True then the creation and modification of subdirectories is not reported to "
    "DropBox.": (
        "integration/monitor/test_contract.py::test_directories_only_when_asked_for",
        "unit/dropbox/watching/test_event_types.py::test_what_dropbox_asks_fsserver_for",
    ),
    "The time in seconds that DropBox should wait after being notified of a file before starting "
    "an import on that file.": (
        "unit/dropbox/settling/test_settle.py::test_the_quiet_period_ends_at_its_length",
        "unit/dropbox/settling/test_pipeline.py::test_it_is_queued_when_quiet_and_not_before",
        "acceptance/test_grid.py::test_quiet_period_set_with_omero_config_is_the_running_servers",
    ),
    "This allows for companion files or filesets to be copied.": (
        "integration/dropbox/grouping/test_groupers.py::"
        "test_nothing_of_a_set_is_imported_until_its_last_file_is_there",
    ),
    "If a new file is added to a fileset during this wait period DropBox begins waiting again.": (
        "integration/dropbox/grouping/test_groupers.py::"
        "test_nothing_of_a_set_is_imported_until_its_last_file_is_there",
        "unit/dropbox/settling/test_settle.py::test_a_change_seen_on_disk_starts_the_quiet_period_anew",
    ),
    "The default is 60 seconds.": (_DEFAULTS,),
    "A file of readers.": ("unit/config/test_readers.py::test_a_list",),
    "If this is a valid file then it is used to filter those events that are of interest.": (
        "unit/config/test_readers.py::test_what_is_wrong_is_told_in_one_line",
        "unit/config/test_readers.py::test_a_file_that_is_not_there_or_no_file",
        SUPERSEDED,
    ),
    "Only files corresponding to a reader in the file will be imported.": (
        "unit/dropbox/grouping/native/test_grouper.py::test_what_no_listed_reader_reads",
        "integration/dropbox/grouping/test_groupers.py::test_only_what_listed_readers_read",
    ),
    "A string of extra arguments supplied to the importer.": (
        "unit/dropbox/importing/importers/test_choice.py::test_where_there_is_java",
        f"{_SETTINGS}::test_the_documented_full_example",
    ),
    "This could include, for example, an email address to report failed imports to: "
    "--report --send": (
        "unit/dropbox/importing/importers/test_arguments.py::"
        "test_reports_of_old_and_new_spelling_are_told_by_status_instead",
        SUPERSEDED,
    ),
    "The default is empty.": (_DEFAULTS,),
    "Here's a full example of a configuration for two users:": (
        f"{_SETTINGS}::test_the_documented_full_example",
    ),
}

# As the documentation has them.
DEFAULTS = {
    "importUsers": "default",
    "watchDir": "",
    "eventTypes": "Creation,Modification",
    "pathMode": "Follow",
    "whitelist": "",
    "blacklist": "",
    "timeout": "0.0",
    "blockSize": "0",
    "ignoreSysFiles": "True",
    "ignoreDirEvents": "True",
    "dirImportWait": "60",
    "readers": "",
    "importArgs": "",
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_documented_default(name: str) -> None:
    assert BY_NAME[name].default == DEFAULTS[name]
    assert read({f"omero.fs.{name}": DEFAULTS[name]}) == read({})
    assert read({}).rules[0].user == EVERYONE


@cache
def functions(file: str) -> frozenset[str]:
    """The tests in a file."""
    tree = ast.parse((TESTS / file).read_bytes())
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in found)


@pytest.mark.parametrize("sentence", TABLE)
def test_a_sentence_is_a_test_or_superseded(sentence: str) -> None:
    assert TABLE[sentence]
    for proof in TABLE[sentence]:
        if proof == SUPERSEDED:
            assert f'"{sentence}"\n' in REFERENCE.read_text(encoding="utf-8")
            continue
        file, _, name = proof.partition("::")
        assert (TESTS / file).is_file(), proof
        assert not name or name in functions(file), proof


def test_nothing_is_superseded_that_is_not_in_the_table() -> None:
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    quoted = [line[1:-1] for line in lines if line.startswith('"')]
    assert quoted
    assert set(quoted) == {one for one, proofs in TABLE.items() if SUPERSEDED in proofs}


# The reference


def test_the_reference_is_what_the_table_gives() -> None:
    """`make reference` writes it."""
    done = subprocess.run([sys.executable, CHECKOUT / "tools/reference.py", "--check"], check=False)
    assert done.returncode == 0, "run `make reference`, and commit docs/configuration.rst"


def test_the_reference_has_every_property() -> None:
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    for known in PROPERTIES:
        assert lines.count(f"``{known.key}``") == 1
