"""The pages of an audit: its report and, if it has one, that of its baseline, with links."""

import hashlib
from collections.abc import Mapping

import mlflow

from audits.report.answer import answer
from audits.report.audited import OtherPage, Role
from audits.report.html import report
from audits.report.markdown import BASELINE_REPORT, REPORT
from audits.tracking.audited import audited_of, page_url
from audits.tracking.tags import BASELINE_REPORT_TAG, REPORT_TAG
from audits.verdict.result import AuditResult

_TAGS = {REPORT: REPORT_TAG, BASELINE_REPORT: BASELINE_REPORT_TAG}


def pages(result: AuditResult) -> dict[str, bytes]:
    """The pages by the names of their files."""
    baseline = result.baseline
    if baseline is None:
        return {REPORT: _page(result)}
    return {
        REPORT: _page(result, _other("baseline", baseline, BASELINE_REPORT)),
        BASELINE_REPORT: _page(baseline, _other("candidate", result, REPORT)),
    }


def page_tags(files: Mapping[str, bytes]) -> dict[str, str]:
    """Tags of the run with the sha256 of each page among its files."""
    return {
        tag: hashlib.sha256(files[name]).hexdigest() for name, tag in _TAGS.items() if name in files
    }


def _page(result: AuditResult, other: OtherPage | None = None) -> bytes:
    return report(audited_of(result, other), result.verdict, result.evidence).encode()


def _other(role: Role, result: AuditResult, file: str) -> OtherPage:
    url = page_url(mlflow.get_tracking_uri(), f"{result.page}/artifacts/{file}")
    told = answer(result.verdict, result.evidence).word
    return OtherPage(role, str(result.model), result.verdict.word, told, file, url)
