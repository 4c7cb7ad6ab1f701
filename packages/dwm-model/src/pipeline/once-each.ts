/** Says each line once: what warns may come upon the same twice, as the encoders of two videos do. */
export function onceEach(say: (line: string) => void): (line: string) => void {
  const said = new Set<string>();
  return (line) => {
    if (said.has(line)) return;
    said.add(line);
    say(line);
  };
}
