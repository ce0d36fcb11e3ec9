import { STATUS_FAILED, STATUS_OK } from "./abi";

let status: u32 = STATUS_OK;
let message: string = "";

// Fails the batch, or, from configure and derive, refuses the model. The first
// failure counts; the function goes on and had better return. With STATUS_RETRY the
// host tries the batch once more; from STATUS_OWN on a status is the plugin's own.
export function fail(why: string, as: u32 = STATUS_FAILED): void {
  if (status != STATUS_OK) return;
  status = as;
  message = why;
}

export function clearFailure(): void {
  status = STATUS_OK;
  message = "";
}

export function failureStatus(): u32 {
  return status;
}

export function failureMessage(): string {
  return message;
}
