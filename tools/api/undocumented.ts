/** Every name that a package's root exports says what it is: lists those that do not, and fails where there are any. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import type TypeScript from 'typescript';

// Half as long as an import, which looks through all of it for names.
const ts: typeof TypeScript = createRequire(import.meta.url)('typescript');
const folder = import.meta.dirname;
const root = resolve(folder, '../..');
const { entryPoints } = JSON.parse(readFileSync(join(folder, 'typedoc.json'), 'utf8'));
const files = entryPoints.map((entry: string) => resolve(folder, entry));
// Types are not asked for, so nothing from outside of the packages is read: two seconds in place of ten.
const options: TypeScript.CompilerOptions = {
  allowImportingTsExtensions: true,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  noLib: true,
  target: ts.ScriptTarget.ESNext,
  types: [],
};
const host = ts.createCompilerHost(options);
host.resolveModuleNameLiterals = (names, file) =>
  names.map(({ text }) =>
    /^(\.|@dwm\/)/.test(text)
      ? ts.resolveModuleName(text, file, options, host)
      : { resolvedModule: undefined },
  );
const program = ts.createProgram(files, options, host);
const checker = program.getTypeChecker();

const missing = new Set<string>();
for (const file of files) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
  for (const name of checker.getExportsOfModule(module)) {
    const symbol = name.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(name) : name;
    const [declaration] = symbol.declarations ?? [];
    // A module under one name says what it is at its top.
    if (!declaration || ts.isSourceFile(declaration)) continue;
    if (symbol.getDocumentationComment(checker).length + symbol.getJsDocTags(checker).length > 0) continue;
    const source = declaration.getSourceFile();
    const { line } = source.getLineAndCharacterOfPosition(declaration.getStart());
    missing.add(`${relative(root, source.fileName)}:${line + 1} ${symbol.name}`);
  }
}
for (const place of [...missing].sort()) console.log(`${place} has no docstring`);
console.log(`${missing.size} exported names without a docstring`);
process.exitCode = missing.size > 0 ? 1 : 0;
