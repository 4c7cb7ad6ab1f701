/** What golden cases use of `node:fs` and `node:path`, over HTTP. */
export const join = (...parts: string[]) => {
  const path: string[] = [];
  for (const part of parts.join('/').split('/')) {
    if (part === '..') path.pop();
    else if (part !== '' && part !== '.') path.push(part);
  }
  return `/${path.join('/')}`;
};

export function existsSync(path: string): boolean {
  const request = new XMLHttpRequest();
  request.open('HEAD', path, false);
  request.send();
  return request.status === 200;
}

export async function readFile(path: string, encoding?: string): Promise<string | Uint8Array> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: the server answered ${response.status}`);
  return encoding ? response.text() : new Uint8Array(await response.arrayBuffer());
}
