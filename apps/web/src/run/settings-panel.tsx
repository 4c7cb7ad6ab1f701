/** How the next run is made. A field takes effect when it is left. */
import { createMemo, Show } from 'solid-js';
import { LIMITS, MEMORY } from '../state/limits.ts';
import type { Session } from '../state/session.ts';
import { WORDS_FROM } from '../state/words.ts';
import { NumberField } from './number-field.tsx';
import { createTyping } from './typing.ts';

export function SettingsPanel(props: { session: Session }) {
  const { session } = props;
  const { engine, run, model } = session;
  const busy = () => session.busy();
  // As in NumberField: what is being typed stays while another setting takes effect.
  const prompt = createMemo(() => run.state.settings?.prompt);
  const typing = createTyping();
  const composite = createMemo(() => run.state.settings?.composite ?? false);
  const number = (key: keyof typeof LIMITS, label: string, step: number) => (
    <NumberField
      label={label}
      value={run.state.settings?.[key] ?? LIMITS[key].min}
      min={LIMITS[key].min}
      max={LIMITS[key].max}
      step={step}
      disabled={busy()}
      onChange={(value) => session.change({ [key]: value })}
    />
  );
  return (
    <div class="fields">
      {number('seed', 'Seed', 1)}
      {number('steps', 'Steps', 1)}
      {number('guidance', 'Guidance', 0.5)}
      {number('width', 'Width, pixels', 16)}
      {number('height', 'Height, pixels', 16)}
      {number('frames', 'Frames', 4)}
      <NumberField
        label={engine.state.device?.software ? 'Memory, GB' : 'Graphics memory, GB'}
        value={run.state.memoryLimit}
        min={MEMORY.min}
        max={MEMORY.max}
        disabled={busy()}
        onChange={(value) => session.limitMemory(value)}
      />
      <label class="check wide">
        <input
          type="checkbox"
          checked={composite()}
          disabled={busy()}
          onChange={async (event) => {
            const input = event.currentTarget;
            if (!(await session.change({ composite: input.checked }))) input.checked = composite();
          }}
        />
        Where nothing changes, keep the room's own pixels
      </label>
      <Show when={model.state.info?.takesText}>
        <label class="wide">
          What the model is told
          <textarea
            rows="2"
            maxlength="2000"
            value={prompt()}
            disabled={busy() && !typing.now()}
            onFocus={typing.begin}
            onBlur={typing.end}
            onChange={(event) => session.say(event.currentTarget.value)}
          />
        </label>
        <p class="hint wide" data-words={run.state.wordsFrom}>
          {WORDS_FROM[run.state.wordsFrom]}{' '}
          <Show when={run.state.wordsFrom === 'typed'}>
            <button type="button" disabled={busy()} onClick={() => session.say(undefined)}>
              Use the page's words
            </button>
          </Show>
        </p>
      </Show>
    </div>
  );
}
