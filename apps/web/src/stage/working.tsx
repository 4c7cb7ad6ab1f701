/** A task where it is seen: what it does, how much of it is done, and what ends it. */
import { type JSX, Show } from 'solid-js';
import type { Place, Tasks } from '../state/tasks.ts';

export function Working(props: { tasks: Tasks; at: Place; label: string }) {
  return (
    <Show when={props.tasks.at(props.at)}>
      {(task) => (
        <>
          <span>{task().what}</span>
          <progress max="1" value={task().done} aria-label={props.label} />
          <StageButton onClick={() => task().cancel()}>Cancel</StageButton>
        </>
      )}
    </Show>
  );
}

/** A button on the stage: pressing it takes no hand. */
export function StageButton(props: {
  class?: string;
  disabled?: boolean;
  onClick: () => void;
  children: JSX.Element;
}) {
  return (
    <button
      type="button"
      class={props.class}
      disabled={props.disabled}
      on:pointerdown={(event) => event.stopPropagation()}
      onClick={() => props.onClick()}
    >
      {props.children}
    </button>
  );
}
