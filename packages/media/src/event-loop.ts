/**
 * Native decoders in Node report back without holding the event loop open, so a program that only awaits a
 * frame may end with exit code 13. A pending timer holds it open; in a browser it does nothing.
 */
export function holdEventLoop(): () => void {
  const timer = setInterval(() => {}, 1000);
  return () => clearInterval(timer);
}
