/**
 * A file on an HTTP server, read by Range requests, so that only the wanted tensors cross the network. A
 * server that ignores Range would send the whole file for every slice: it is refused at opening.
 */
import { InvalidFileError } from '../errors.ts';
import { type ByteSource, checkRange } from './byte-source.ts';

/** Scheme, host and path: signed URLs carry secrets in their query, which do not belong in messages. */
function displayName(url: URL): string {
  return url.origin === 'null' ? url.href : url.origin + url.pathname;
}

async function requestRange(url: URL, first: number, last: number): Promise<Response> {
  try {
    return await fetch(url, { headers: { Range: `bytes=${first}-${last}` } });
  } catch (error) {
    const { message, cause } = error as Error;
    const reason = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : message;
    throw new InvalidFileError(
      displayName(url),
      `cannot be fetched (${reason}); check the address and the server`,
    );
  }
}

/** Whether a response says that there is no such file. */
export function isMissing(response: Response): boolean {
  // Development servers answer unknown paths with the app's page and status 200; no model file is HTML.
  const isPage = response.headers.get('content-type')?.startsWith('text/html') ?? false;
  return response.status === 404 || response.status === 410 || (response.ok && isPage);
}

/** Asks for the first byte only: enough to learn status, size and whether Range works. */
export async function probeUrl(url: URL): Promise<Response> {
  const response = await requestRange(url, 0, 0);
  await response.body?.cancel();
  return response;
}

/** First byte and file size from a 206 answer's Content-Range. */
function contentRange(url: URL, response: Response): { first: number; size: number } {
  const name = displayName(url);
  if (isMissing(response))
    throw new InvalidFileError(name, 'not found on the server', { status: response.status });
  if (response.status === 200) {
    throw new InvalidFileError(
      name,
      'the server ignores Range requests; use one that answers them with 206',
      {
        status: 200,
        expected: 206,
      },
    );
  }
  if (response.status !== 206) {
    throw new InvalidFileError(
      name,
      `the server answered ${response.status} instead of 206 (partial content)`,
      {
        status: response.status,
        expected: 206,
      },
    );
  }
  const header = response.headers.get('content-range');
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(header ?? '');
  if (!match) {
    throw new InvalidFileError(
      name,
      `Content-Range is ${header === null ? 'missing' : JSON.stringify(header)}, expected "bytes FIRST-LAST/SIZE"; ` +
        'a server on another origin must list it in Access-Control-Expose-Headers',
    );
  }
  return { first: Number(match[1]), size: Number(match[2]) };
}

/**
 * Opens a file on an HTTP server (in a browser, `url` may be relative to the page).
 * @throws InvalidFileError if it is missing, unreachable, or the server does not honour Range requests.
 */
export async function openUrl(url: string | URL): Promise<ByteSource> {
  const target = new URL(url, globalThis.location?.href);
  const name = displayName(target);
  const probe = await probeUrl(target);
  // No byte of an empty file can be asked for: servers answer 416 and give the size as "bytes */0".
  const isEmpty = probe.status === 416 && probe.headers.get('content-range') === 'bytes */0';
  const size = isEmpty ? 0 : contentRange(target, probe).size;
  const etag = probe.headers.get('etag');

  const file = { name, size };
  return {
    ...file,
    async read(offset, length, into) {
      checkRange(file, offset, length, into);
      const out = into ? into.subarray(0, length) : new Uint8Array(length);
      if (length === 0) return out;
      const response = await requestRange(target, offset, offset + length - 1);
      try {
        const range = contentRange(target, response);
        if (range.size !== size || response.headers.get('etag') !== etag) {
          throw new InvalidFileError(name, 'changed on the server while it was being read; load it again');
        }
        if (range.first !== offset) {
          throw new InvalidFileError(
            name,
            `byte ${offset} was asked for, the server sent from byte ${range.first}`,
          );
        }
        const filled = await readBody(response, out);
        if (filled !== length) {
          throw new InvalidFileError(name, `the server sent ${filled} of the ${length} bytes asked for`);
        }
        return out;
      } catch (error) {
        await response.body?.cancel().catch(() => {});
        if (error instanceof InvalidFileError) throw error;
        throw new InvalidFileError(name, `the connection broke while reading (${(error as Error).message})`);
      }
    },
  };
}

/** Fills `out` from the body and returns how many bytes came, counting at most one chunk too many. */
async function readBody(response: Response, out: Uint8Array): Promise<number> {
  let filled = 0;
  for await (const chunk of response.body ?? []) {
    if (filled + chunk.byteLength > out.byteLength) return filled + chunk.byteLength;
    out.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return filled;
}
