/** What this is, in three sentences, and where more is. */
export function About() {
  return (
    <section class="about" aria-label="About">
      <p>
        A world model is a network that has learned to draw what happens next. This one is given a room
        without hands and a hand on its own, and draws what that hand does to that room. It knows small
        made-up rooms only, and runs in this page, on your own device: nothing you open or make is sent
        anywhere.
      </p>
      <p class="links">
        <a href="https://arxiv.org/abs/2512.17907">The paper</a>
        <a href="https://snuvclab.github.io/dwm/">The project's page</a>
        <a href="https://github.com/snuvclab/dwm">The original's repository</a>
      </p>
    </section>
  );
}
