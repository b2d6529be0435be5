"""The versions of a product's outputs: what there is, going back, and letting old ones go."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine import layout
from airflow_dataproducts.engine.targets import Keep
from airflow_dataproducts.exceptions import ConfigurationError, DataProductsError
from airflow_dataproducts.runtime.closing import quarantine_place
from airflow_dataproducts.runtime.run import log

if TYPE_CHECKING:
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import PastVersion
    from airflow_dataproducts.plan import PublishStep
    from airflow_dataproducts.runtime.run import Reference, Run


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an output, as people ask for it.

    Attributes:
        output: the output.
        revision: the target's own name of it.
        version: the contract's semantic version; None where the catalog does not know.
        run_id: the run that made it.
        published_at: when it became visible.
        rows: rows that readers see in it; None where nobody knows.
        state: ``current``, ``old`` or ``undone``.
    """

    output: str
    revision: str
    version: str | None
    run_id: str | None
    published_at: datetime
    rows: int | None
    state: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "published_at": self.published_at.isoformat()}


def versions(run: Run, step: PublishStep) -> list[Version]:
    """The versions of an output that can be gone back to, newest first."""
    known = run.catalog.publications(run.plan.product.id, step.name)
    return [_described(step.name, each, known.get(each.run_id or "", {})) for each in run.target(step).versions()]


def _described(output: str, past: PastVersion, published: Reference) -> Version:
    state = "current" if past.current else "undone" if past.undone else "old"
    rows = past.rows if past.rows is not None else published.get("rows")
    return Version(output, past.revision, published.get("version"), past.run_id, past.published_at, rows, state)


def rollback(run: Run, to: str | None = None, output: str | None = None) -> Reference:
    """Go back to an old version: of every output, or of one.

    Each output is switched at once, as a publication is. When all of them go back to one run, the watermarks go back
    with them, so that the next run reads again what was taken back.

    Args:
        run: the run that does it; its id stands in the catalog for what readers see then.
        to: a revision, a run's id or a semantic version; None for the version before the current one.
        output: the only output to go back; None for all.

    Returns:
        The revision that readers see now, by output.

    Raises:
        ConfigurationError: there is no such version.
        PublishError: a target cannot be switched; trying again goes on with it.
    """
    steps = [step for step in run.plan.publications if output in (None, step.name)]
    chosen = [(step, _choose(versions(run, step), to, step.name)) for step in steps]
    for step, version in chosen:
        publication = run.target(step).rollback(version.revision)
        row = {
            **publication.to_dict(), "version": version.version or run.plan.product.version,
            "connection": step.output.publish.connection,
        }  # fmt: skip
        run.catalog.published(run.key, step.name, row)
        log.info("output %s: back to %s, of run %s", step.name, version.revision, version.run_id)
    runs = {version.run_id for _, version in chosen}
    if len(chosen) == len(run.plan.publications) and len(runs) == 1 and (only := runs.pop()) is not None:
        run.catalog.rewind(run.plan.product.id, only)
    elif any(step.incremental for step in run.plan.extracts):
        log.warning("the watermarks stay where they are: outputs went back to different runs, or not all of them")
    return {step.name: version.revision for step, version in chosen}


def _choose(known: list[Version], to: str | None, output: str) -> Version:
    if to is None:
        now = next((index for index, each in enumerate(known) if each.state == "current"), len(known))
        before = next((each for each in known[now + 1 :] if each.state == "old"), None)
        if before is None:
            raise ConfigurationError(f"output {output}: there is no version before the current one")
        return before
    for each in known:
        if to in (each.revision, each.run_id, each.version):
            return each
    there = ", ".join(each.revision for each in known) or "none"
    raise ConfigurationError(
        f"output {output}: no version {to!r} (there are {there}); a run id or version number does, too"
    )


def tidy(run: Run) -> dict[str, int]:
    """Let go what the site's settings do not keep: old versions, leftovers of killed attempts, old quarantined rows.

    Returns:
        How many versions, files or folders went, by output; ``quarantine`` and ``staging`` for those.
    """
    settings = run.settings
    keep = Keep(settings.keep_versions, settings.keep_for)
    gone = {"quarantine": 0, "staging": 0}
    for step in run.plan.publications:
        try:
            gone[step.name] = run.target(step).tidy(keep)
            gone["quarantine"] += _older(quarantine_place(run, step), datetime.now(UTC) - settings.keep_quarantine)
        except (DataProductsError, OSError) as error:
            log.warning("output %s: what is old was not tidied up: %s", step.name, error)
    gone["staging"] = _older(run.staging_of_product, datetime.now(UTC) - settings.keep_for)
    return gone


def _older(place: Place, moment: datetime) -> int:
    """Delete the folders of a place whose newest file is older than a moment."""
    import pyarrow.fs as pafs

    infos = place.filesystem.get_file_info(pafs.FileSelector(place.path, allow_not_found=True))
    gone = 0
    for info in infos:
        if info.type == pafs.FileType.Directory:
            folder = place / info.base_name
            stamps = [place.filesystem.get_file_info(file).mtime for file in layout.data_files(folder)]
            newest = max((stamp for stamp in stamps if stamp is not None), default=info.mtime)
            if newest is not None and newest < moment:
                folder.remove()
                gone += 1
    return gone
