import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { InvalidFileError } from '../errors.ts';
import { openCheckpoint } from './checkpoint.ts';
import { urlFolder } from './model-folder.ts';
import { writeSafetensors } from './safetensors/writer.ts';
import { openUrl } from './url-source.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((done) => server!.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers Range requests as RFC 9110 has it; other paths are 404. */
function ranged(files: Record<string, Uint8Array>): RequestListener {
  return (request, response) => {
    const bytes = files[request.url!.split('?')[0]!];
    if (!bytes) return response.writeHead(404).end();
    const [first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!.slice(1).map(Number) as [
      number,
      number,
    ];
    if (first >= bytes.byteLength) {
      return response.writeHead(416, { 'content-range': `bytes */${bytes.byteLength}` }).end();
    }
    const part = bytes.subarray(first, last + 1);
    const range = `bytes ${first}-${first + part.byteLength - 1}/${bytes.byteLength}`;
    response.writeHead(206, { 'content-range': range, etag: '"v1"' }).end(part);
  };
}

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) % 251);

describe('openUrl', () => {
  it('reads ranges, into a given buffer too', async () => {
    const source = await openUrl(`${await serve(ranged({ '/m.bin': bytes }))}/m.bin?token=secret`);
    expect(source.size).toBe(1000);
    expect(source.name).toMatch(/\/m\.bin$/);
    expect(await source.read(990, 10)).toEqual(bytes.subarray(990));
    const buffer = new Uint8Array(64);
    const view = await source.read(3, 50, buffer);
    expect(view.buffer).toBe(buffer.buffer);
    expect(view).toEqual(bytes.subarray(3, 53));
    expect((await source.read(1000, 0)).byteLength).toBe(0);
    await expect(source.read(990, 11)).rejects.toThrow(
      'bytes 990 to 1001 were asked for, but the file has 1000 bytes',
    );
  });

  it('opens an empty file', async () => {
    expect((await openUrl(`${await serve(ranged({ '/e': new Uint8Array(0) }))}/e`)).size).toBe(0);
  });

  const partial = (range: string | undefined, body: Uint8Array, etag = '"v1"'): RequestListener => {
    return (request, response) => {
      if (request.headers.range === 'bytes=0-0') {
        response.writeHead(206, { 'content-range': 'bytes 0-0/1000', etag: '"v1"' }).end('x');
      } else {
        response.writeHead(206, { etag, ...(range ? { 'content-range': range } : {}) }).end(body);
      }
    };
  };
  it.each<[string, RequestListener, string]>([
    [
      'a server that ignores Range',
      (_, response) => response.end('everything'),
      'the server ignores Range requests; use one that answers them with 206',
    ],
    ['a missing file', (_, response) => response.writeHead(404).end(), 'not found on the server'],
    [
      'an app page in place of a file',
      (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      'not found on the server',
    ],
    ['a refusal', (_, response) => response.writeHead(403).end(), 'the server answered 403 instead of 206'],
    [
      'a hidden Content-Range',
      partial(undefined, bytes),
      'Content-Range is missing, expected "bytes FIRST-LAST/SIZE"',
    ],
    [
      'another range than asked',
      partial('bytes 0-99/1000', bytes.subarray(0, 100)),
      'byte 100 was asked for, the server sent from byte 0',
    ],
    [
      'a short answer',
      partial('bytes 100-199/1000', bytes.subarray(100, 150)),
      'the server sent 50 of the 100 bytes',
    ],
    ['a long answer', partial('bytes 100-199/1000', bytes), 'the server sent 1000 of the 100 bytes'],
    [
      'a file that changed size',
      partial('bytes 100-199/1001', bytes.subarray(100, 200)),
      'changed on the server',
    ],
    [
      'a file that changed in place',
      partial('bytes 100-199/1000', bytes.subarray(100, 200), '"v2"'),
      'changed on the server',
    ],
    [
      'a connection cut halfway',
      (request, response) => {
        if (request.headers.range === 'bytes=0-0') return void partial('', bytes)(request, response);
        response.writeHead(206, {
          'content-range': 'bytes 100-199/1000',
          etag: '"v1"',
          'content-length': 100,
        });
        response.write(bytes.subarray(100, 120), () => response.destroy());
      },
      'the connection broke while reading',
    ],
  ])('refuses %s', async (_, listener, message) => {
    const base = await serve(listener);
    const error = await openUrl(`${base}/m.bin`)
      .then((source) => source.read(100, 100))
      .then(
        () => expect.fail('was accepted'),
        (e) => e,
      );
    expect(error).toBeInstanceOf(InvalidFileError);
    expect(error.message).toContain(`${base}/m.bin: `);
    expect(error.message).toContain(message);
    expect(error.message.split('\n')).toHaveLength(1);
  });

  it('names an unreachable server', async () => {
    const base = await serve(() => {});
    server!.close();
    await expect(openUrl(`${base}/m.bin`)).rejects.toThrow(
      /m\.bin: cannot be fetched \(.*ECONNREFUSED.*\); check the address/,
    );
  });
});

describe('urlFolder', () => {
  it('opens a checkpoint, escapes names and stays inside', async () => {
    const tensor = { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } as const;
    const base = await serve(
      ranged({
        '/models/dwm/vae/m.safetensors': writeSafetensors(new Map([['x', tensor]])),
        '/models/dwm/a%23b': bytes,
      }),
    );
    const folder = urlFolder(`${base}/models/dwm`);
    expect(folder.name).toBe(`${base}/models/dwm/`);
    const checkpoint = await openCheckpoint(folder, 'vae/m');
    expect(await checkpoint.readTensor('x')).toEqual(tensor);
    expect((await folder.open('a#b')).size).toBe(1000);
    expect(await folder.exists('vae/config.json')).toBe(false);
    await expect(folder.open('../other')).rejects.toThrow('"../other" is not a path inside this folder');
    await expect(folder.exists('vae//x')).rejects.toThrow(InvalidFileError);
  });

  it('does not take a refusal for absence', async () => {
    const base = await serve((_, response) => response.writeHead(503).end());
    await expect(urlFolder(base).exists('x')).rejects.toThrow(`${base}/x: the server answered 503`);
  });
});
