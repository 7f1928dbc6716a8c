// A page of a list, sorted by one of its columns: the largest first. Without a column it stays as the server gave it.

export function sorted<Row>(items: Row[], columns: Record<string, (row: Row) => number>, by: string): Row[] {
  const column = columns[by];
  return column ? [...items].sort((one, other) => column(other) - column(one)) : items;
}
