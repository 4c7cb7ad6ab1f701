declare module 'wgsl-preprocessor/wgsl-preprocessor.js' {
  /** Template tag: text with `#if ${condition}` / `#elif ${condition}` / `#else` / `#endif`. */
  export function wgsl(strings: TemplateStringsArray, ...values: unknown[]): string;
}
