/** What a visitor can take along: the video, a GIF, a sheet of stills, the motion, and a link that makes it again. */
import { writeTransforms } from '@dwm/renderer';
import { createEffect, createSignal, on, Show } from 'solid-js';
import { unwrap } from 'solid-js/store';
import type { Session } from '../state/session.ts';
import type { Clip } from '../worker/protocol.ts';
import { writeLink } from './link.ts';
import { save } from './save.ts';

export function Share(props: { session: Session }) {
  const { session } = props;
  const { state } = session;
  const [link, setLink] = createSignal<string>();
  const [working, setWorking] = createSignal(false);
  let turn = 0;
  // The address follows what it stands for: an old link would bring back another room.
  createEffect(
    on(
      () => [state.roomRef, state.settings, state.motions, state.videos, state.wordsFrom],
      async () => {
        // Until its room is there, a link is all that says which.
        if (!state.room || !location.hash.startsWith('#dwm')) return;
        setLink(undefined);
        const shared = session.shared();
        const mine = ++turn;
        const hash = shared && (await writeLink(shared));
        if (mine !== turn) return;
        history.replaceState(null, '', hash ?? location.pathname + location.search);
        if (hash) setLink(location.href);
      },
      { defer: true },
    ),
  );
  const rows = (): { label: string; frames: Clip }[] => {
    const { scene, hands, generated } = unwrap(state);
    const all = [
      { label: 'scene', frames: scene },
      { label: 'hands', frames: hands },
      { label: 'generated', frames: generated?.video },
    ];
    return all.filter((row): row is { label: string; frames: Clip } => row.frames !== undefined);
  };
  const run = (work: () => Promise<void>) => async () => {
    setWorking(true);
    await work().catch((error) => session.complain(error));
    setWorking(false);
  };
  const video = (format: 'mp4' | 'gif', type: string) =>
    run(async () => {
      const clips = rows().map(({ frames }) => frames);
      save(`dwm.${format}`, type, await session.engine().call(format, { clips }));
    });
  const blocked = () => working() || !!state.run || !!state.task;
  return (
    <details class="menu">
      <summary>Share</summary>
      <div class="sheet">
        <button type="button" disabled={blocked()} onClick={video('mp4', 'video/mp4')}>
          Video (mp4)
        </button>
        <button type="button" disabled={blocked()} onClick={video('gif', 'image/gif')}>
          GIF
        </button>
        <button
          type="button"
          disabled={blocked()}
          onClick={run(async () => {
            save('dwm.png', 'image/png', await session.engine().call('sheet', { rows: rows() }));
          })}
        >
          Contact sheet (png)
        </button>
        <button
          type="button"
          disabled={!state.motions}
          onClick={() =>
            save('trajectory.json', 'application/json', writeTransforms(unwrap(state).motions!.present))
          }
        >
          Motion (json)
        </button>
        <button
          type="button"
          disabled={!session.shared()}
          onClick={run(async () => {
            turn++;
            const hash = await writeLink(session.shared()!);
            history.replaceState(null, '', hash);
            setLink(location.href);
            await navigator.clipboard?.writeText(location.href).catch(() => {});
          })}
        >
          Link
        </button>
      </div>
      <Show when={!session.shared()}>
        <p class="hint">A link can carry a built-in room only, not your own files.</p>
      </Show>
      <Show when={link()}>
        {(address) => (
          <label>
            The link, also in the address bar and copied
            <input type="text" readonly value={address()} onFocus={(event) => event.currentTarget.select()} />
          </label>
        )}
      </Show>
    </details>
  );
}
