/** What can go wrong between us and the hub, each in one line that says what to do. */
import { DwmError } from '@dwm/core-tensor';

/**
 * A download that cannot go on. `code` is one of `hub-access` (401, 403), `hub-not-found` (404), `hub-answer`
 * (another status, or an answer that makes no sense), `network`, `checksum-mismatch`, `disk-space`.
 */
export class DownloadError extends DwmError {}

/** A connection that ended before the file did. */
export class ConnectionClosedError extends Error {}

/** A server that sends nothing, or next to nothing. */
export class StalledError extends ConnectionClosedError {}

/** An answer of another status than the one hoped for. */
export class HubStatusError extends Error {
  readonly url: string;
  readonly status: number;

  constructor(url: string, status: number) {
    super(`status ${status}`);
    this.url = url;
    this.status = status;
  }
}

/** The system's name of a network error (`ECONNRESET`), which `fetch` wraps. */
export function networkCode(error: unknown): string | undefined {
  const { cause, code } = error as NodeJS.ErrnoException;
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? code;
}

/** Turns an error of `fetch` or of the hub into one that a user can act on. */
export function explain(error: unknown, what: string, endpoint: string, hasToken: boolean): unknown {
  if (error instanceof HubStatusError) {
    const { status, url } = error;
    const details = { status, url };
    if (status === 401 || status === 403) {
      const fix = hasToken
        ? `the token in HF_TOKEN has no access; accept the model's terms at ${endpoint} or use another token`
        : `set HF_TOKEN to a token of an account with access (${endpoint}/settings/tokens), and check the id`;
      return new DownloadError(
        'hub-access',
        `${what}: private, gated or not there (status ${status}); ${fix}`,
        details,
      );
    }
    if (status === 404) {
      const message = `${what}: not found on ${endpoint} (status 404); check the id and the revision`;
      return new DownloadError('hub-not-found', message, details);
    }
    return new DownloadError(
      'hub-answer',
      `${what}: ${endpoint} answered status ${status}; try again later`,
      details,
    );
  }
  const code = networkCode(error);
  if (error instanceof ConnectionClosedError || (error instanceof TypeError && 'cause' in error)) {
    const reason = code ?? (error as Error).message;
    const patience =
      error instanceof StalledError ? ' or allow more time with HF_HUB_DOWNLOAD_TIMEOUT=60,' : '';
    const fix = `check the network (and HF_ENDPOINT),${patience} then run the same command to resume`;
    return new DownloadError('network', `${what}: no connection to ${endpoint} (${reason}); ${fix}`, {
      reason,
    });
  }
  return error;
}
