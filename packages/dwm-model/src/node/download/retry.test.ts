import { describe, expect, it } from 'vitest';
import { ConnectionClosedError, HubStatusError, StalledError } from './errors.ts';
import { isPassing, retry } from './retry.ts';

describe('retry', () => {
  const broken = new ConnectionClosedError('closed');

  it('gives up after as many failures in a row as there are waits, and one', async () => {
    let attempts = 0;
    const fail = async () => {
      attempts++;
      throw broken;
    };
    await expect(retry(fail, undefined, undefined, [1, 1])).rejects.toBe(broken);
    expect(attempts).toBe(3);
  });

  it('counts anew after progress', async () => {
    let attempts = 0;
    const creep = async () => {
      if (++attempts < 10) throw broken;
      return attempts;
    };
    expect(await retry(creep, undefined, () => attempts, [1])).toBe(10);
  });

  it('repeats what stalls twice only, whatever has come in between', async () => {
    let attempts = 0;
    const drip = async () => {
      attempts++;
      throw new StalledError('it sent 9 bytes in 10 s');
    };
    await expect(retry(drip, undefined, () => attempts, [1, 1, 1, 1, 1])).rejects.toThrow(StalledError);
    expect(attempts).toBe(3);
  });

  it('does not repeat what cannot pass', async () => {
    let attempts = 0;
    const fail = async () => {
      attempts++;
      throw new HubStatusError('u', 404);
    };
    await expect(retry(fail, undefined)).rejects.toThrow(HubStatusError);
    expect(attempts).toBe(1);
  });

  it('stops waiting at the signal', async () => {
    const signal = AbortSignal.timeout(20);
    await expect(retry(async () => Promise.reject(broken), signal, undefined, [60_000])).rejects.toThrow(
      /aborted/,
    );
  });
});

describe('isPassing', () => {
  it('knows statuses and wrapped network errors', () => {
    const wrapped = (code: string) =>
      new TypeError('fetch failed', { cause: Object.assign(new Error(), { code }) });
    for (const status of [500, 503, 429, 408]) expect(isPassing(new HubStatusError('u', status))).toBe(true);
    for (const status of [400, 401, 403, 404, 416])
      expect(isPassing(new HubStatusError('u', status))).toBe(false);
    for (const code of ['ECONNRESET', 'UND_ERR_SOCKET', 'UND_ERR_BODY_TIMEOUT'])
      expect(isPassing(wrapped(code))).toBe(true);
    for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'CERT_HAS_EXPIRED'])
      expect(isPassing(wrapped(code))).toBe(false);
    expect(isPassing(Object.assign(new Error(), { code: 'ENOSPC' }))).toBe(false);
  });
});
