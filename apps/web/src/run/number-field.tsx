import { createMemo } from 'solid-js';
import { createTyping } from './typing.ts';

/** A number that takes effect when its field is left; one that is refused gives way to the one before. */
export function NumberField(props: {
  label: string;
  value: number;
  min?: number;
  max?: number;
  step?: number | 'any';
  disabled: boolean;
  /** @returns false where it is refused. */
  onChange: (value: number) => Promise<boolean>;
}) {
  // Settings come anew as a whole when another one takes effect: what is typed here meanwhile stays.
  const value = createMemo(() => props.value);
  const typing = createTyping();
  return (
    <label>
      {props.label}
      <input
        type="number"
        min={props.min}
        max={props.max}
        step={props.step ?? 'any'}
        value={value()}
        disabled={props.disabled && !typing.now()}
        onFocus={typing.begin}
        onBlur={typing.end}
        onChange={async (event) => {
          const input = event.currentTarget;
          const typed = input.value;
          if (!(await props.onChange(input.valueAsNumber)) && input.value === typed)
            input.value = String(props.value);
        }}
      />
    </label>
  );
}
