import { createMemo } from 'solid-js';

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
  return (
    <label>
      {props.label}
      <input
        type="number"
        min={props.min}
        max={props.max}
        step={props.step ?? 'any'}
        value={value()}
        disabled={props.disabled}
        onChange={async (event) => {
          const input = event.currentTarget;
          if (!(await props.onChange(input.valueAsNumber))) input.value = String(props.value);
        }}
      />
    </label>
  );
}
