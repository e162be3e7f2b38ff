import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Lines for a person: a fixed column for the name, colours only where the stream is a terminal. */
export interface Console {
  line(text?: string): void;
  service(name: string, text: string): void;
  warning(name: string, text: string): void;
  strong(text: string): string;
}

const nameWidth = 15;

export function createConsole(stream: NodeJS.WriteStream = process.stdout): Console {
  const paint = (style: Style, text: string) => (stream.isTTY ? styleText(style, text) : text);
  const line = (text = '') => {
    stream.write(`${text}\n`);
  };
  return {
    line,
    service: (name, text) => line(`  ${paint('cyan', name.padEnd(nameWidth))}${text}`),
    warning: (name, text) => line(`  ${paint('yellow', name.padEnd(nameWidth))}${text}`),
    strong: text => paint('bold', text),
  };
}
