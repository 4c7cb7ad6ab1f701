/** A process that reads damaged files, one after another, and says of each how it ended. The parent may kill it. */
import { DwmError } from '@dwm/core-tensor';
import type { Ask, Told } from './messages.ts';
import { TARGETS } from './targets.ts';

/** What no message may hold: a terminal would obey it, or show it as something else. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

function told(error: unknown, plain: boolean): Told {
  if (!(error instanceof Error)) return { ends: 'untyped', detail: String(error) };
  const typed = error instanceof DwmError || (plain && error.constructor === Error);
  if (!typed) return { ends: 'untyped', detail: error.stack ?? error.message };
  if (UNSAFE.test(error.message)) return { ends: 'unsafe', detail: JSON.stringify(error.message) };
  return { ends: 'refused', detail: error.message };
}

async function read({ target, bytes }: Ask): Promise<Told> {
  const { read, plain = false } = TARGETS[target];
  try {
    await read(Buffer.from(bytes, 'base64'));
    return { ends: 'read', detail: '' };
  } catch (error) {
    return told(error, plain);
  }
}

// What a decoder throws behind its caller's back counts as a crash.
process.on('message', (ask: Ask) => read(ask).then((answer) => process.send!(answer)));
process.on('disconnect', () => process.exit(0));
process.send!({ ends: 'ready', detail: '' } satisfies Told);
