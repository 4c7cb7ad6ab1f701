/** Rooms, files and models to choose from. */
import { createEffect, createSignal, For, Show } from 'solid-js';
import { pickedFiles } from '../model-store/dropped.ts';
import type { Kept } from '../model-store/opfs.ts';
import { NumberField } from '../run/number-field.tsx';
import { ROOM_NUMBER } from '../state/limits.ts';
import { CLIPS, LIVE } from '../state/model.ts';
import { DEFAULT_ROOM } from '../state/room.ts';
import type { Session } from '../state/session.ts';
import { takeIn } from './take-in.ts';

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const sizeOf = (files: Kept['files']) => files.reduce((sum, { size }) => sum + size, 0);

export function SourcesPanel(props: { session: Session; open: boolean; onToggle: (open: boolean) => void }) {
  const { session } = props;
  const { room } = session;
  let panel!: HTMLDetailsElement;
  // What is opened from elsewhere on the page comes into sight.
  createEffect(() => {
    if (props.open) panel.scrollIntoView({ block: 'nearest' });
  });
  const busy = () => session.busy();
  const seed = () => (room.state.ref.kind === 'synthetic' ? room.state.ref.seed : DEFAULT_ROOM);
  const useSeed = (next: number) => session.useRoom({ kind: 'synthetic', seed: next });
  return (
    <details
      class="panel"
      open={props.open}
      ref={(element) => {
        panel = element;
      }}
      onToggle={() => props.onToggle(panel.open)}
    >
      <summary>Your own room, videos or model</summary>
      <div class="fields">
        <NumberField
          label="Room number"
          value={seed()}
          min={ROOM_NUMBER.min}
          max={ROOM_NUMBER.max}
          step={1}
          disabled={busy()}
          onChange={useSeed}
        />
        <label class="wide">
          Open files: a scene (.glb, .ply, .spz, .splat), a trajectory (.json), or two videos with a caption
          (.txt)
          <input
            type="file"
            multiple
            disabled={busy()}
            onChange={async (event) => {
              const input = event.currentTarget;
              await takeIn(session, pickedFiles(input.files ?? []));
              input.value = '';
            }}
          />
        </label>
        <ModelFields session={session} busy={busy()} />
      </div>
      <p class="hint">Files may also be dropped anywhere on the page.</p>
    </details>
  );
}

function ModelFields(props: { session: Session; busy: boolean }) {
  const { session } = props;
  const [keep, setKeep] = createSignal(false);
  const [url, setUrl] = createSignal('');
  const [kept, setKept] = createSignal<readonly Kept[]>([]);
  const list = async () => setKept(await session.engine.client().call('listModels', undefined));
  return (
    <fieldset
      class="wide"
      onFocusIn={() => list().catch(() => {})}
      onPointerEnter={() => list().catch(() => {})}
    >
      <legend>Model</legend>
      <Show when={LIVE}>
        {(live) => (
          <div class="buttons wide">
            <button type="button" disabled={props.busy} onClick={() => session.useModel(live())}>
              The one that answers while you drag, {megabytes(BUILT_IN_BYTES.live!)}
            </button>
            <button type="button" disabled={props.busy} onClick={() => session.useModel(CLIPS)}>
              The one that makes whole clips, {megabytes(BUILT_IN_BYTES.default)}
            </button>
          </div>
        )}
      </Show>
      <label>
        Open a model folder, or a LoRA folder for the model that is there
        <input
          type="file"
          ref={(input) => {
            input.webkitdirectory = true;
          }}
          disabled={props.busy}
          onChange={async (event) => {
            const input = event.currentTarget;
            const picked = pickedFiles(input.files ?? []);
            if (picked.files.length > 0) await takeIn(session, picked, keep());
            input.value = '';
          }}
        />
      </label>
      <label class="check">
        <input type="checkbox" checked={keep()} onChange={(event) => setKeep(event.currentTarget.checked)} />
        Keep it in this browser
      </label>
      <label>
        Or its address
        <input
          type="url"
          placeholder="https://…/models/dwm/"
          value={url()}
          onInput={(event) => setUrl(event.currentTarget.value)}
        />
      </label>
      <button
        type="button"
        disabled={props.busy || url() === ''}
        onClick={() => session.useModel({ kind: 'url', url: url() })}
      >
        Fetch and keep
      </button>
      <ul class="kept">
        <For each={kept()}>
          {(model) => (
            <li>
              {model.name}, {megabytes(sizeOf(model.files))}
              <button
                type="button"
                disabled={props.busy}
                onClick={() => session.useModel({ kind: 'kept', id: model.id })}
              >
                Use
              </button>
              <button
                type="button"
                disabled={props.busy}
                aria-label={`Remove ${model.name} from this browser`}
                onClick={async () => {
                  await session.engine
                    .client()
                    .call('forgetModel', model.id)
                    .then(list)
                    .catch(session.notice.show);
                }}
              >
                Remove
              </button>
            </li>
          )}
        </For>
      </ul>
      <Show when={session.model.state.info}>
        {(model) => (
          <small>
            Now: {model().name}
            {model().lora && ` with ${model().lora}`}, {(model().bytes / 1e6).toFixed(0)} MB on the device{' '}
            <Show when={model().lora}>
              <button type="button" disabled={props.busy} onClick={() => session.useLora(undefined)}>
                Take {model().lora} off
              </button>
            </Show>
          </small>
        )}
      </Show>
    </fieldset>
  );
}
