// One quiet line while the service does not answer.

const banner = () => document.getElementById("banner");

export function away() {
  banner().textContent = "The service does not answer; trying again.";
  banner().hidden = false;
}

export function back() {
  banner().hidden = true;
}
