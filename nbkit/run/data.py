"""`nbkit data list | fetch | add | check`: data sets on this machine."""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
from collections.abc import Sequence


def add_parser(subparsers) -> None:
    """Add the command to the parser of `nbkit`."""
    parser = subparsers.add_parser("data", help="list, fetch, add and check data sets")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    action = actions.add_parser("list", help="what there is, and what of it is on this machine")
    action.set_defaults(call=_told(_list))

    action = actions.add_parser("fetch", help="bring a data set to this machine; goes on where it was cut")
    action.add_argument("name", metavar="NAME")
    action.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="SOURCE",
        help="another address, gdrive:ID, or the archive that you downloaded by hand",
    )
    action.add_argument(
        "--count", type=int, default=0, metavar="N", help="of a synthetic set: how many sentences to make"
    )
    action.set_defaults(call=_told(_fetch))

    action = actions.add_parser(
        "add",
        help="use your own recordings",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Use your own recordings: a folder with a list of texts, a zip or tar of it, or the list.\n\n"
        "A list has a line for each recording:\n    wavs/first.wav|What is said in it.\n"
        "or, with several speakers,\n    wavs/first.wav|minji|What is said in it.",
    )
    action.add_argument(
        "source", metavar="FOLDER|ARCHIVE|LIST|gdrive:ID", help="also the share address of a zip in Drive"
    )
    action.add_argument("--name", default="", help="what to call it; by default after the source")
    action.add_argument("--language", default="", help="ko, jje, en, ...; by default seen from the texts")
    action.add_argument("--licence", default="", help="for yourself and others, for example 'my own voice'")
    action.add_argument(
        "--columns", default="", help="the columns of the list where they cannot be seen, as path,-,text"
    )
    action.set_defaults(call=_told(_add))

    action = actions.add_parser("check", help="name every bad row; exit status 1 where there is one")
    action.add_argument("name", metavar="NAME")
    action.add_argument(
        "--front-end", default="", help="of recordings: the one that training will use; by default that of the language"
    )
    action.set_defaults(call=_told(_check))


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Rows of text in columns, the first row their heads; Hangul counts double, as a terminal shows it."""
    widths = [max(map(_width, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _told(action):
    """An action whose errors are told in words, with exit status 1."""

    def call(arguments: argparse.Namespace) -> int:
        from nbkit.data.manifest import DataError, ManifestError

        try:
            return action(arguments)
        except (DataError, ManifestError) as error:
            notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
            print(f"nbkit data: {error}{notes}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nstopped; what has arrived is kept, the same command goes on there", file=sys.stderr)
            return 130

    return call


def _list(_: argparse.Namespace) -> int:
    from nbkit.data import manifest

    rows = [("NAME", "KIND", "LANGUAGE", "HOURS", "ROWS", "LICENCE", "ON THIS MACHINE")]
    wrong = []
    for name in manifest.names():
        try:
            found = manifest.load(name)
        except manifest.ManifestError as error:
            wrong.append(str(error))
            continue
        hours = f"{found.hours:.1f}" if found.hours else "-"
        count = "any" if found.synthetic else f"{found.rows:,}" if found.rows else "-"
        kind = found.text.kind if found.text else "speech"
        rows.append((name, kind, found.language, hours, count, found.licence, manifest.state(found)))
    print(table(rows))
    for text in wrong:
        print(f"nbkit data: {text}", file=sys.stderr)
    return 1 if wrong else 0


def _fetch(arguments: argparse.Namespace) -> int:
    from nbkit.data import manifest

    found = manifest.load(arguments.name)
    print(f"{found.title}. Licence: {found.licence}." + (f" {found.homepage}" if found.homepage else ""), flush=True)
    if found.text and found.text.made:
        print(f"{found.name} is made on the spot each time it is opened; there is nothing to fetch")
        return 0
    folder = manifest.fetch(arguments.name, arguments.source, arguments.count)
    print(f"{found.name} is in {folder}")
    return 0


def _add(arguments: argparse.Namespace) -> int:
    from nbkit.data import own

    made, notes = own.add(
        arguments.source,
        name=arguments.name,
        language=arguments.language,
        licence=arguments.licence,
        columns=arguments.columns,
    )
    print("\n".join([f"{made.name}", *(f"  {note}" for note in notes)]) + "\n", flush=True)
    good = _report(made.name, "")
    if good:
        print(f"\nNext: nbkit run 22_glow_train -p dataset {made.name}")
    return 0 if good else 1


def _check(arguments: argparse.Namespace) -> int:
    return 0 if _report(arguments.name, arguments.front_end) else 1


def _report(name: str, front_end: str) -> bool:
    """Check and print; True where all rows are good."""
    from nbkit.base import workspace
    from nbkit.data import check, check_text, manifest

    report = check_text.check(name) if manifest.load(name).text else check.check(name, front_end)
    print(table([(key, value) for key, value in report.summary()]))
    if report.good:
        print(f"\n{name}: all {report.rows:,} {report.counted} are good")
        return True
    problems = [(str(problem.line), problem.id, problem.kind, problem.detail) for problem in report.problems]
    print("\n" + table([("LINE", "ID", "PROBLEM", "WHAT"), *problems]))
    bad = f"{len(report.bad_lines()):,} of {report.rows:,} {report.counted}"
    print(f"\n{name}: {bad} are bad; repair them and check again")
    if report.counted == "rows" and (ids := report.excludable()):
        print(f"To leave out those that cannot be repaired, add to {workspace.manifests() / (name + '.yaml')}:")
        print(f"exclude: {json.dumps(ids, ensure_ascii=False)}")
    return False
