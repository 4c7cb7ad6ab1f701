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
  return (
    <label>
      {props.label}
      <input
        type="number"
        min={props.min}
        max={props.max}
        step={props.step ?? 'any'}
        value={props.value}
        disabled={props.disabled}
        onChange={async (event) => {
          const input = event.currentTarget;
          if (!(await props.onChange(input.valueAsNumber))) input.value = String(props.value);
        }}
      />
    </label>
  );
}
