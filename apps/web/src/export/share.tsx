/** What a visitor can take along: the video, a GIF, a sheet of stills, the motion, and a link that makes it again. */
import type { Frames } from '@dwm/media';
import { writeTransforms } from '@dwm/renderer';
import { createEffect, createSignal, on, Show } from 'solid-js';
import { GALLERY, roomPage } from '../gallery/rooms.ts';
import { Working } from '../stage/working.tsx';
import { LIMITS } from '../state/limits.ts';
import type { Session } from '../state/session.ts';
import type { Task } from '../state/tasks.ts';
import { writeLink } from './link.ts';
import { save } from './save.ts';

/** The page whose preview card shows a room: one of its own for rooms of the gallery. The development server has none. */
const cardOf = (room: number) =>
  (import.meta.env.PROD && GALLERY.some(({ seed }) => seed === room) ? roomPage(room) : './') +
  location.search;

/** @param props.answered there is something to share: the button stands out. */
export function Share(props: { session: Session; answered: boolean }) {
  const { session } = props;
  const { notice, queue, room, run, tasks } = session;
  const [address, setAddress] = createSignal<string>();
  let turn = 0;
  // The address follows what it stands for: an old link would bring back another room.
  createEffect(
    on(
      () => [room.state.ref, run.state.settings, room.state.motions, room.state.videos, run.state.wordsFrom],
      async () => {
        // Until its room is there, a link is all that says which.
        if (!room.state.info || !location.hash.startsWith('#dwm')) return;
        setAddress(undefined);
        const shared = session.shared();
        const mine = ++turn;
        const hash = shared && (await writeLink(shared));
        if (mine !== turn) return;
        history.replaceState(
          null,
          '',
          hash ? cardOf(shared.room) + hash : location.pathname + location.search,
        );
        if (hash) setAddress(location.href);
      },
      { defer: true },
    ),
  );
  const rows = (): { label: string; frames: Frames }[] => {
    const { scene, hands } = room.now();
    const { generated } = run.now();
    const all = [
      { label: 'scene', frames: scene },
      { label: 'hands', frames: hands },
      { label: 'generated', frames: generated?.video },
    ];
    return all.filter((row): row is { label: string; frames: Frames } => row.frames !== undefined);
  };
  /** A file that the engine writes; it needs no device for it, and no turn. */
  const write = (name: string, type: string, content: (task: Task) => Promise<Uint8Array>) => () =>
    tasks
      .run('share', async (task) => {
        task.say(`Writing ${name} …`);
        const bytes = await content(task);
        if (!task.signal.aborted) save(name, type, bytes);
      })
      .catch(notice.show);
  const video = (format: 'mp4' | 'gif', type: string) =>
    write(`dwm.${format}`, type, (task) => task.call(format, { clips: rows().map(({ frames }) => frames) }));
  /** A field that was just left takes effect first. What a run makes changes nothing of what is asked for here. */
  const settled = async () => {
    if (!run.state.progress && !tasks.at('beside')) await queue.settled();
  };
  const link = async () => {
    await settled();
    const shared = session.shared();
    if (!shared) return;
    turn++;
    history.replaceState(null, '', cardOf(shared.room) + (await writeLink(shared)));
    setAddress(location.href);
    await navigator.clipboard?.writeText(location.href).catch(() => {});
  };
  const blocked = () => !!tasks.at('share') || !!tasks.at('stage');
  return (
    <details class="menu" classList={{ main: props.answered }}>
      <summary>Share</summary>
      <div class="sheet">
        <button type="button" disabled={!session.shared()} onClick={() => link().catch(notice.show)}>
          Link
        </button>
        <button type="button" disabled={blocked()} onClick={video('mp4', 'video/mp4')}>
          Video (mp4)
        </button>
        <button type="button" disabled={blocked()} onClick={video('gif', 'image/gif')}>
          GIF
        </button>
        <button
          type="button"
          disabled={blocked()}
          onClick={write('dwm.png', 'image/png', (task) => task.call('sheet', { rows: rows() }))}
        >
          Contact sheet (png)
        </button>
        <button
          type="button"
          disabled={!room.state.motions}
          onClick={async () => {
            await settled();
            save('trajectory.json', 'application/json', writeTransforms(room.now().motions!.present));
          }}
        >
          Motion (json)
        </button>
      </div>
      <div class="buttons">
        <Working tasks={tasks} at="share" label="Progress of the file" />
      </div>
      <Show when={!session.shared()}>
        <p class="hint">
          A link can carry a built-in room only, not your own files, and {LIMITS.frames.max} frames at most.
        </p>
      </Show>
      <Show when={address()}>
        {(text) => (
          <label>
            The link, also in the address bar and copied
            <input type="text" readonly value={text()} onFocus={(event) => event.currentTarget.select()} />
          </label>
        )}
      </Show>
    </details>
  );
}
