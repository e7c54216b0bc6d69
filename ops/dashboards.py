"""Grafana's dashboards from one table: python -m ops.dashboards

A dashboard is a title and its panels; a panel is a title, a unit and queries with legends. Everything else of Grafana's
JSON is the same for all and stands here once. `ops/grafana/*.json` is what this writes; a test compares, and another
asks a real Prometheus every query. Gauges that come from the database are the same in every control plane, hence `max`;
counters and histograms are each process's own, hence `sum`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "grafana"
LANE = "kind, model, vram_gib, task"
LANE_LEGEND = "{{kind}} {{model}} {{vram_gib}} GiB {{task}}"
COLUMNS, WIDTH, HEIGHT = 3, 8, 8
"""Grafana's grid is 24 wide."""


class Panel(NamedTuple):
    title: str
    unit: str
    """As Grafana calls it: `s`, `short`, `reqps`, `percentunit`, `bytes`, `celsius`, `watt`."""
    queries: tuple[tuple[str, str], ...]
    """Legend and expression."""


def one(title: str, unit: str, query: str, legend: str = "") -> Panel:
    return Panel(title, unit, ((legend, query),))


def rate(counter: str, *by: str) -> str:
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate({counter}[$__rate_interval]))"


def quantiles(title: str, histogram: str, *by: str, where: str = "", shares: tuple[float, ...] = (0.5, 0.95)) -> Panel:
    grouped, named = ", ".join(("le", *by)), " ".join(f"{{{{{name}}}}}" for name in by)
    return Panel(
        title,
        "s",
        tuple(
            (
                f"p{share * 100:g} {named}".strip(),
                f"histogram_quantile({share}, sum by ({grouped}) (rate({histogram}_bucket{where}[$__rate_interval])))",
            )
            for share in shares
        ),
    )


def of_lanes(title: str, unit: str, gauge: str) -> Panel:
    return one(title, unit, f"max by ({LANE}) (tessera_lane_{gauge})", LANE_LEGEND)


def of_slots(title: str, unit: str, gauge: str) -> Panel:
    return one(title, unit, f"max by (worker, slot) (tessera_slot_{gauge})", "{{worker}} {{slot}}")


DASHBOARDS: dict[str, tuple[Panel, ...]] = {
    "queue": (
        of_lanes("In line", "short", "jobs_waiting"),
        of_lanes("Oldest in line", "s", "oldest_seconds"),
        of_lanes("Leased", "short", "jobs_running"),
        Panel(
            "Orders and ends",
            "reqps",
            (
                ("ordered", rate("tessera_jobs_submitted_total")),
                ("claimed", rate("tessera_jobs_claimed_total")),
                ("completed", rate("tessera_jobs_completed_total")),
            ),
        ),
        quantiles("From order to lease", "tessera_job_wait_seconds", "model"),
        quantiles("Runs", "tessera_job_run_seconds", "model"),
        quantiles("Looks for work", "tessera_claim_seconds", shares=(0.5, 0.99)),
        quantiles("From waking an agent to its lease", "tessera_wake_seconds", shares=(0.5, 0.99)),
        one(
            "Fairness: how far apart next turns are",
            "short",
            f"max by ({LANE}) (tessera_lane_turn_spread)",
            LANE_LEGEND,
        ),
        of_lanes("Users in line", "short", "users_waiting"),
        one(
            "Done by the time told (p90)",
            "percentunit",
            "sum(increase(tessera_eta_p90_hits_total[6h])) / (sum(increase(tessera_eta_judged_total[6h])) > 0)",
            "of promises",
        ),
        one("Backing off", "short", "max(tessera_jobs_backing_off)", "jobs"),
        one("Retries by cause", "reqps", rate("tessera_jobs_retried_total", "cause"), "{{cause}}"),
        one("Leases taken back by phase", "reqps", rate("tessera_jobs_reaped_total", "phase"), "{{phase}}"),
        one("Oldest lease to be taken back", "s", "max(tessera_oldest_expired_lease_seconds)", "over for"),
    ),
    "workers": (
        one("Workers", "short", "max by (state) (tessera_workers)", "{{state}}"),
        of_lanes("Slots that take jobs", "short", "slots"),
        of_lanes("Slots draining", "short", "slots_draining"),
        of_lanes("Slots in quarantine", "short", "slots_quarantined"),
        of_slots("Idle gap, p95", "s", "idle_gap_p95_seconds"),
        of_slots("Idle gap, median", "s", "idle_gap_p50_seconds"),
        of_slots("GPU at work", "percent", "utilisation_percent"),
        of_slots("GPU memory taken", "decgbytes", "vram_used_gib"),
        of_slots("GPU temperature", "celsius", "temperature_celsius"),
        of_slots("GPU power", "watt", "power_watts"),
        one("Failed runs by cause", "reqps", rate("tessera_jobs_failed_total", "cause"), "{{cause}}"),
        one("Leases given back", "reqps", rate("tessera_jobs_released_total"), "released"),
        one("Agents that wait for work", "short", "sum(tessera_claims_waiting)", "agents"),
        one("Attempts by outcome, as agents tell", "reqps", rate("tessera_agent_jobs_total", "outcome"), "{{outcome}}"),
        one("Agents: since the last answer", "s", "max by (instance) (tessera_agent_silent_seconds)", "{{instance}}"),
    ),
    "money": (
        one("Tokens held for open jobs", "short", "max(tessera_tokens_held)", "held"),
        one(
            "Tokens of the last day's jobs",
            "short",
            "max by (kind) (tessera_tokens_settled)",
            "{{kind}}",
        ),
        one("Disagreements of the books", "short", "max by (law) (tessera_ledger_violations)", "{{law}}"),
        one("Energy of runs", "joule", "sum(increase(tessera_energy_joules_total[1h]))", "in an hour"),
        one(
            "Refused by the rules of conduct",
            "reqps",
            rate("tessera_orders_moderated_total", "category"),
            "{{category}}",
        ),
        one("Reports that wait", "short", "max(tessera_reports_open)", "open"),
        one("Webhook attempts", "reqps", rate("tessera_webhook_deliveries_total", "outcome"), "{{outcome}}"),
        one("Webhook messages due", "short", "max(tessera_webhooks_due)", "due"),
        one("Oldest webhook message due", "s", "max(tessera_webhook_oldest_due_seconds)", "due for"),
    ),
    "api": (
        one("Requests", "reqps", rate("tessera_requests_total", "status"), "{{status}}"),
        quantiles(
            "Orders",
            "tessera_request_seconds",
            where='{method="POST", path="/api/v1/jobs"}',
            shares=(0.5, 0.95, 0.99),
        ),
        Panel(
            "Slowest operations, p95",
            "s",
            (
                (
                    "{{method}} {{path}}",
                    "topk(10, histogram_quantile(0.95, sum by (le, method, path)"
                    " (rate(tessera_request_seconds_bucket[$__rate_interval]))))",
                ),
            ),
        ),
        one(
            "Share that fails on our side",
            "percentunit",
            '(sum(rate(tessera_requests_total{status=~"5.."}[$__rate_interval])) or vector(0))'
            " / sum(rate(tessera_requests_total[$__rate_interval]))",
            "5xx",
        ),
        one("Streams and long polls held open", "short", "sum(tessera_requests_held)", "held"),
        one("Up", "short", 'up{job="tessera"}', "{{instance}}"),
        one("Version", "short", "max by (version) (tessera_build)", "{{version}}"),
        one("Database answers", "short", "min(tessera_database_up)", "up"),
        one(
            "Database connections",
            "short",
            "sum by (instance, state) (tessera_pool_connections)",
            "{{instance}} {{state}}",
        ),
        Panel(
            "Waiting for a connection",
            "reqps",
            (("had to wait", rate("tessera_pool_waits_total")), ("got none", rate("tessera_pool_failures_total"))),
        ),
        one("Oldest transaction", "s", "max(tessera_oldest_transaction_seconds)", "open for"),
        one(
            "Since the listener heard its probe",
            "s",
            "max by (instance) (tessera_listener_probe_seconds)",
            "{{instance}}",
        ),
        Panel(
            "Disk",
            "bytes",
            (("free {{instance}}", "tessera_disk_free_bytes"), ("of {{instance}}", "tessera_disk_bytes")),
        ),
        one("Age of the last good backup", "s", "max(tessera_backup_age_seconds)"),
        one(
            "The certificate is good for",
            "s",
            "max by (host) (tessera_certificate_ends_timestamp_seconds) - time()",
            "{{host}}",
        ),
    ),
    "bots": (
        one("Connected", "short", "max by (bot, platform) (tessera_bots_up)", "{{bot}}"),
        one("What people did", "reqps", rate("tessera_bots_events_total", "bot"), "{{bot}}"),
        one("Messages", "reqps", rate("tessera_bots_messages_total", "bot"), "{{bot}}"),
        one("Edits", "reqps", rate("tessera_bots_edits_total", "bot"), "{{bot}}"),
        one("Edits skipped for newer ones", "reqps", rate("tessera_bots_edits_skipped_total", "bot"), "{{bot}}"),
        one("Deliveries by outcome", "reqps", rate("tessera_bots_deliveries_total", "outcome"), "{{outcome}}"),
        one("Asked for patience", "reqps", rate("tessera_bots_floods_total", "bot"), "{{bot}}"),
        one(
            "Share of time spent waiting for a platform",
            "percentunit",
            rate("tessera_bots_flood_seconds_total", "bot"),
            "{{bot}}",
        ),
        one("Starts", "short", "sum by (bot) (tessera_bots_starts_total)", "{{bot}}"),
        Panel(
            "Lateness of the program",
            "s",
            (
                ("p50", "max(tessera_bots_loop_lag_p50_seconds)"),
                ("p99", "max(tessera_bots_loop_lag_p99_seconds)"),
            ),
        ),
        one("Memory of the program", "bytes", "max(tessera_bots_resident_bytes)", "resident"),
    ),
}


def made(name: str) -> dict[str, Any]:
    """What Grafana imports."""
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "uid": f"tessera-{name}",
        "title": f"Tessera: {name}",
        "tags": ["tessera"],
        "editable": True,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(place, panel, source) for place, panel in enumerate(DASHBOARDS[name])],
    }


def _panel(place: int, panel: Panel, source: dict[str, str]) -> dict[str, Any]:
    row, column = divmod(place, COLUMNS)
    return {
        "id": place + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": source, "expr": query, "legendFormat": legend or "__auto"}
            for n, (legend, query) in enumerate(panel.queries)
        ],
    }


def text(name: str) -> str:
    return json.dumps(made(name), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name))


if __name__ == "__main__":
    main()
