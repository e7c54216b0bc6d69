/** What codes and numbers are called when people read them. */
import type { Job } from "@/data/types";

const REASONS: Record<string, string> = {
  no_worker_for_model: "No machine offers this model right now. It starts when one is back.",
  all_workers_busy: "All machines are busy.",
  workers_draining: "The machines are being serviced.",
  workers_quarantined: "The machines for this model are being checked.",
  model_not_loaded: "The model is being loaded.",
  plan_limit_running: "Your other jobs run first: your plan runs only so many at once.",
  retry_backoff: "That try failed. The next one follows shortly.",
  lane_paused: "This model is paused by the operator.",
  starting: "Starting.",
};

export const reason = (code: string) => REASONS[code] ?? "Waiting.";

export function duration(seconds: number): string {
  if (seconds < 1) return "1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3_600).toFixed(1)} h`;
}

export function ago(when: string, now = Date.now()): string {
  const seconds = (now - Date.parse(when)) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`;
  return new Date(when).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

export const moment = (when: string) => new Date(when).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
export const clock = (when: string) => new Date(when).toLocaleTimeString();
export const count = (value: number) => value.toLocaleString();
export const tokens = (value: number) => `${count(value)} ${Math.abs(value) === 1 ? "token" : "tokens"}`;
export const money = (cents: number, currency: string) =>
  new Intl.NumberFormat(undefined, { style: "currency", currency, minimumFractionDigits: cents % 100 ? 2 : 0 }).format(cents / 100);

export const STATUS: Record<Job["status"], { word: string; tone: string }> = {
  queued: { word: "Waiting", tone: "wait" },
  running: { word: "Running", tone: "busy" },
  canceling: { word: "Canceling", tone: "wait" },
  succeeded: { word: "Done", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  canceled: { word: "Canceled", tone: "" },
  expired: { word: "Expired", tone: "" },
};
