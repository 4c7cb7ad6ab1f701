/** A name from a file, quoted on one line and cut to a readable length. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 57)}...` : name);
}
