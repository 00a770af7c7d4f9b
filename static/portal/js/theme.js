// Runs before the page is drawn: "auto" becomes what the reader's device prefers. Without a script auto means light.
"use strict";
{
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const theme = root.dataset.theme;
    root.dataset.bsTheme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  };
  dark.addEventListener("change", apply);
  document.addEventListener("portal:theme", apply);
  apply();
}
