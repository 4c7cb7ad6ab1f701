/** `DWM_TRACE=kernels`: prints each kernel choice once, when a program is planned: which variant, and why. */
import { type Receipt, watchChoices } from '@dwm/kernels-wgsl';

/** E.g. `kernel matmul/lanes rows=32 columns=4 splits=1 (tuned) batch=1 m=64 n=256 k=64`. */
export function receiptLine({ family, variant, tuning, reason, spec }: Receipt): string {
  const values = (of: object) =>
    Object.entries(of)
      .filter(([, value]) => typeof value === 'number' || typeof value === 'string')
      .map(([name, value]) => `${name}=${value}`);
  return [`kernel ${family}/${variant}`, ...values(tuning ?? {}), `(${reason})`, ...values(spec)].join(' ');
}

/** Returns what ends it. */
export function traceKernels(print: (line: string) => void): () => void {
  const seen = new Set<string>();
  return watchChoices((receipt) => {
    const line = receiptLine(receipt);
    if (seen.has(line)) return;
    seen.add(line);
    print(line);
  });
}

if (process.env.DWM_TRACE?.split(',').includes('kernels')) traceKernels((line) => console.error(line));
