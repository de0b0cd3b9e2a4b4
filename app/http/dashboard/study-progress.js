// How far a study is: the numbers of its trainings, the time left and its best network.

import { IMPORTED } from "./study-data.js";
import { canRetry, isRunning, isWaiting } from "./states.js";

// Returns the numbers of trainings: planned, ended and left. `study` is that of the service.
export function progressOf({ trials, size, proposed, options, state }) {
  const sum = (isCounted) => Object.entries(trials).reduce((n, [name, count]) => n + (isCounted(name) ? count : 0), 0);
  const created = sum(() => true);
  const ended = sum((name) => !isWaiting(name) && !isRunning(name));
  const isOver = state === "completed" || state === "cancelled";
  const unproposed = isOver ? 0 : Math.max(0, size - proposed) * options.seeds;
  return { planned: created + unproposed, ended, left: created - ended + unproposed, failed: sum(canRetry) };
}

// Returns the seconds until all is trained, or null if nothing tells how long a training takes.
export function secondsLeft(left, observations, workers) {
  const measured = observations.filter((o) => o.trial_id && o.seconds > 0).map((o) => o.seconds);
  if (!left || !workers || !measured.length) return null;
  return (left * measured.reduce((a, b) => a + b, 0)) / measured.length / Math.min(workers, left);
}

// Returns the numbers of observations that count: of the study's trials, imported or reported, and retracted.
export function countObservations(observations) {
  const kept = observations.filter((o) => !o.retracted_at);
  const imported = kept.filter((o) => IMPORTED.includes(o.role)).length;
  return { all: kept.length, imported, trained: kept.length - imported, retracted: observations.length - kept.length };
}
