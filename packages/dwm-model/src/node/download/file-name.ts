/** Which names of a repository may become files here: those that every system keeps, and shows, as they are. */
import { printable, quote } from '@dwm/core-tensor/files';

/** Devices of Windows, whatever their extension: opening `NUL.txt` there opens the device. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?$/i;

/** Of one part, in UTF-8; most file systems take 255, and ours add an ending. */
const MAX_PART_BYTES = 240;
/** Below an output folder, which has a path of its own. */
const MAX_PATH_BYTES = 1000;

/** What is wrong with a path, of a repository and with `/` between its parts, in words; undefined if nothing is. */
export function nameProblem(path: string): string | undefined {
  const refused = (why: string) => `file name ${quote(path)} ${why}`;
  if (printable(path) !== path) return refused('has control or direction characters');
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return refused(`has more than ${MAX_PATH_BYTES} bytes`);
  for (const part of path.split('/')) {
    if (Buffer.byteLength(part) > MAX_PART_BYTES) return refused(`has more than ${MAX_PART_BYTES} bytes`);
    if (/[. ]$/.test(part) || part.startsWith(' ')) return refused('begins or ends with a space or a dot');
    if (DEVICE.test(part)) return refused(`is a device on Windows (${part})`);
    if (/[<>:"|?*]/.test(part)) return refused('has a character that Windows has no files with');
  }
  return undefined;
}

/** Two paths of a list that cannot both be files here, in words. */
export function clash(paths: readonly string[]): string | undefined {
  // macOS and Windows take names for one that differ in case or in how accents are composed.
  const known = new Map<string, string>();
  for (const path of paths) {
    const key = path.normalize('NFC').toLowerCase();
    const other = known.get(key) ?? known.get(key.replace(/\.part$/, ''));
    if (other !== undefined) return `${quote(other)} and ${quote(path)} would be one file`;
    known.set(key, path);
  }
  for (const path of paths) {
    const parts = path.normalize('NFC').toLowerCase().split('/');
    for (let end = 1; end < parts.length; end++) {
      const file = known.get(parts.slice(0, end).join('/'));
      if (file !== undefined) return `${quote(file)} would be a file and the folder of ${quote(path)}`;
    }
  }
  return undefined;
}
