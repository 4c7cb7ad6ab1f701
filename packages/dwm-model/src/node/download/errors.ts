/** What can go wrong between us and the hub, each in one line that says what to do. */
import { DwmError } from '@dwm/core-tensor';
import { HubApiError, InvalidApiResponseFormatError } from '@huggingface/hub';

/**
 * A download that cannot go on. `code` is one of `hub-access` (401, 403), `hub-not-found` (404), `hub-answer`
 * (another status, or an answer that makes no sense), `network`, `checksum-mismatch`, `disk-space`.
 */
export class DownloadError extends DwmError {}

/** A connection that ended before the file did. */
export class ConnectionClosedError extends Error {}

/** The system's name of a network error (`ECONNRESET`), which `fetch` wraps. */
export function networkCode(error: unknown): string | undefined {
  const { cause, code } = error as NodeJS.ErrnoException;
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? code;
}

/** Turns an error of `fetch`, of the hub's client or of the disk into one that a user can act on. */
export function explain(error: unknown, what: string, endpoint: string, hasToken: boolean): unknown {
  if (error instanceof HubApiError) {
    const status = error.statusCode;
    const details = { status, url: error.url };
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
  if (error instanceof InvalidApiResponseFormatError || error instanceof SyntaxError) {
    const message = `${what}: ${endpoint} does not answer as the hub does (${error.message}); check HF_ENDPOINT`;
    return new DownloadError('hub-answer', message);
  }
  const code = networkCode(error);
  if (code === 'ENOSPC') {
    return new DownloadError(
      'disk-space',
      `${what}: the disk is full; free space and run the same command again`,
    );
  }
  if (error instanceof ConnectionClosedError || (error instanceof TypeError && 'cause' in error)) {
    const reason = code ?? (error as Error).message;
    const fix = 'check the network (and HF_ENDPOINT), then run the same command to resume';
    return new DownloadError('network', `${what}: no connection to ${endpoint} (${reason}); ${fix}`, {
      reason,
    });
  }
  return error;
}
