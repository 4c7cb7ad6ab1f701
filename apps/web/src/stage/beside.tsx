/** The buttons that put something beside the answer, and what they put there. */
import { For, Show } from 'solid-js';
import type { Clock } from '../panes/clock.ts';
import { ASIDES, type Aside, type Beside } from '../state/beside.ts';
import { Picture } from './picture.tsx';

/** Where there is room for it, and where there is little. */
const BUTTONS: Readonly<Record<Aside, readonly [long: string, short: string]>> = {
  truth: ['The simulator (T)', 'Simulator'],
  apart: ['A hand that touches nothing', 'No touch'],
  words: ['Other words', 'Words'],
};

export function BesideButtons(props: { beside: Beside; busy: boolean }) {
  return (
    <For each={ASIDES}>
      {(aside) => (
        <button
          type="button"
          aria-pressed={props.beside.state.shown[aside] !== undefined}
          disabled={props.busy || !props.beside.able(aside)}
          onClick={() => props.beside.toggle(aside)}
        >
          <span class="wide-only">{BUTTONS[aside][0]}</span>
          <span class="narrow-only">{BUTTONS[aside][1]}</span>
        </button>
      )}
    </For>
  );
}

export function BesidePanes(props: { beside: Beside; clock: Clock }) {
  const labels = (): Record<Aside, string> => ({
    truth: 'The simulator, the same hand',
    apart: 'The model, the same hand held back: it touches nothing',
    words: `The model, the same hand, told “${props.beside.words}”`,
  });
  return (
    <Show when={props.beside.any()}>
      <div class="beside">
        <For each={ASIDES.filter((aside) => props.beside.state.shown[aside])}>
          {(aside) => (
            <figure>
              <div class="picture">
                <Picture
                  name={aside}
                  label={labels()[aside]}
                  clip={props.beside.state.shown[aside]}
                  frame={props.clock.frame()}
                />
              </div>
              <figcaption>{labels()[aside]}</figcaption>
            </figure>
          )}
        </For>
      </div>
    </Show>
  );
}
