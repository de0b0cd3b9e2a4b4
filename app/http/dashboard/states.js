// Properties of the states of trials.

export const COUNT_ORDER = ["completed", "running", "queued", "failed", "cancelled"];

export const isWaiting = (state) => state === "queued";

export const isRunning = (state) => state === "running";

export const hasCompleted = (state) => state === "completed";

export const hasEnded = (state) => !isWaiting(state) && !isRunning(state);

export const canRetry = (state) => hasEnded(state) && !hasCompleted(state);
