/** Who holds a file: a process of this machine, which can be looked for, or one of another. */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Owner {
  readonly pid: number;
  /** Name of the machine, and of its space of process ids: containers have their own. */
  readonly host: string;
  /** Start of the machine and of the process, where the system says: ids are used again. */
  readonly started: string;
}

const text = (read: () => string): string => {
  try {
    return read().trim();
  } catch {
    return '';
  }
};

const bootId = (): string => text(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));

/** State letter and start of a process, on Linux. */
function procStat(pid: number): { state: string; start: string } | undefined {
  const line = text(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // The name of the program, in brackets, may hold spaces and brackets.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return line === '' ? undefined : { state: fields[0], start: fields[19] };
}

const startOf = (pid: number): string => {
  const start = procStat(pid)?.start;
  return start === undefined ? '' : `${bootId()} ${start}`;
};

/** This process. */
export function thisOwner(): Owner {
  const space = text(() => readlinkSync('/proc/self/ns/pid'));
  return { pid: process.pid, host: [hostname(), space].join(' ').trim(), started: startOf(process.pid) };
}

/** Whether a process id of this machine is in use. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Another user's process cannot be signalled, and is there.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !/^[ZXx]$/.test(procStat(pid)?.state ?? '');
}

/** Undefined for a process of another machine. */
export function isAlive({ pid, host, started }: Owner): boolean | undefined {
  if (host !== thisOwner().host) return undefined;
  return isRunning(pid) && (started === '' || started === startOf(pid));
}

/** Short, for names of temporary files: the machine, and the process. */
export const ownerTag = (): string => `${hostTag()}-${process.pid}`;

const hostTag = (): string => createHash('sha256').update(thisOwner().host).digest('hex').slice(0, 6);

/** Whether the owner of a tag is gone; undefined for a process of another machine. */
export function isGone(tag: string): boolean | undefined {
  const [host, pid] = tag.split('-');
  return host === hostTag() ? !isRunning(Number(pid)) : undefined;
}
