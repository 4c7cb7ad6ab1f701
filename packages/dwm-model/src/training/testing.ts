/** Peers that are all in this process, for tests: what one sends, the others get when all have sent. */
import type { Peers } from './peers.ts';

export function peersHere(count: number): Peers[] {
  const rounds: {
    sent: (Uint8Array | undefined)[];
    left: number;
    all: Promise<Uint8Array[]>;
    done: (all: Uint8Array[]) => void;
  }[] = [];
  const round = (index: number) => {
    if (!rounds[index]) {
      let done: (all: Uint8Array[]) => void = () => {};
      const all = new Promise<Uint8Array[]>((resolve) => {
        done = resolve;
      });
      rounds[index] = { sent: new Array(count), left: count, all, done };
    }
    return rounds[index];
  };
  return Array.from({ length: count }, (_, rank): Peers => {
    let next = 0;
    const meet = async (own: Uint8Array): Promise<Uint8Array[]> => {
      const meeting = round(next++);
      meeting.sent[rank] = own.slice();
      if (--meeting.left === 0) meeting.done(meeting.sent as Uint8Array[]);
      return meeting.all;
    };
    const joined = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
    return {
      rank,
      count,
      gather: async (own) => joined(await meet(own)),
      exchange: async (own) => {
        const each = own.length / count;
        return joined((await meet(own)).map((all) => all.subarray(rank * each, (rank + 1) * each)));
      },
    };
  });
}
