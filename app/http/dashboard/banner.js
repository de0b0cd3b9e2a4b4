// The banner that is shown while the service does not respond.

const banner = () => document.getElementById("banner");

export function showBanner() {
  banner().textContent = "The service does not respond. Retrying …";
  banner().hidden = false;
}

export function hideBanner() {
  banner().hidden = true;
}
