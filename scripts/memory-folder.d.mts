export function isUsable(mounts: string, path: string): boolean;
export function nameInMemory(folder: string, uid: number): string;
export function folderOfTests(): string;
