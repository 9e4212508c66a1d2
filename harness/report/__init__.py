"""What people and other tools read of a run: results.json, summary.md, junit.xml."""

from harness.report.files import write_report
from harness.report.junit import render_junit
from harness.report.results import build_results
from harness.report.summary import render_summary

__all__ = ["build_results", "render_junit", "render_summary", "write_report"]
