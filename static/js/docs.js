// Swagger's page is dark if its root has the class `dark-mode`. The person's choice of colours sets the class here.

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const follow = () => root.classList.toggle("dark-mode", root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

system.addEventListener("change", follow);
follow();
