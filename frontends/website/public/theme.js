// Before the first paint, so that a chosen theme never flashes. Read by the browser before anything of React.
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {}
