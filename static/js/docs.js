// Swagger's stylesheet is dark under a class of the root's, not by the colour scheme that the person chose.

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const follow = () => root.classList.toggle("dark-mode", root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

system.addEventListener("change", follow);
follow();
