/** How the next run is made. A field takes effect when it is left. */
import { Show } from 'solid-js';
import type { Session } from '../state/session.ts';
import type { Settings } from '../worker/protocol.ts';

export function SettingsPanel(props: { session: Session }) {
  const { session } = props;
  const { state } = session;
  const number = (
    key: Exclude<keyof Settings, 'prompt' | 'composite'>,
    label: string,
    limits: { min: number; max: number; step: number },
  ) => (
    <label>
      {label}
      <input
        type="number"
        name={key}
        {...limits}
        value={state.settings?.[key] ?? limits.min}
        disabled={!!state.run || !!state.task}
        onChange={(event) => {
          const { valueAsNumber: value, validity } = event.currentTarget;
          if (validity.valid && Number.isFinite(value)) session.change({ [key]: value });
          else event.currentTarget.value = String(state.settings?.[key]);
        }}
      />
    </label>
  );
  return (
    <details class="panel">
      <summary>Settings</summary>
      <div class="fields">
        {number('seed', 'Seed', { min: 0, max: 2 ** 53 - 1, step: 1 })}
        {number('steps', 'Steps', { min: 1, max: 1000, step: 1 })}
        {number('guidance', 'Guidance', { min: 1, max: 20, step: 0.5 })}
        {number('width', 'Width, pixels', { min: 32, max: 1440, step: 16 })}
        {number('height', 'Height, pixels', { min: 32, max: 1440, step: 16 })}
        {number('frames', 'Frames', { min: 9, max: 97, step: 8 })}
        <label>
          Graphics memory, GB
          <input
            type="number"
            min="0.001"
            max="512"
            step="0.001"
            value={state.memoryLimit}
            disabled={!!state.run || !!state.task}
            onChange={(event) => {
              if (event.currentTarget.validity.valid) session.limitMemory(event.currentTarget.valueAsNumber);
            }}
          />
        </label>
        <Show when={state.model?.takesText}>
          <label class="wide">
            Prompt
            <textarea
              rows="2"
              value={state.settings?.prompt}
              onChange={(event) => session.change({ prompt: event.currentTarget.value })}
            />
          </label>
        </Show>
      </div>
    </details>
  );
}
