// Set theme and language before anything is drawn.
(() => {
  const root = document.documentElement;
  const kept = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // storage may be switched off
    }
  };
  const theme = kept("lavida-theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = kept("lavida-language") || (navigator.language || "en");
  root.lang = language.toLowerCase().startsWith("zh") ? "zh-Hans" : "en";
})();
