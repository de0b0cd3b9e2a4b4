// The banner that is shown while the service does not respond.

import { byId } from "./dom.js";

const banner = () => byId("banner");

export function showBanner() {
  banner().textContent = "The service does not respond. Retrying …";
  banner().hidden = false;
}

export function hideBanner() {
  banner().hidden = true;
}
