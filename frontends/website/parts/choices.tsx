"use client";

/** One of a few, as radio buttons that look like tiles. */
import type { ReactNode } from "react";

type Choice<T> = { value: T; title: string; look?: ReactNode; disabled?: boolean };

export function Choices<T extends string | number>({ name, title, choices, value, onChange, hideTitle = false }: { name: string; title: string; choices: Choice<T>[]; value: T; onChange: (value: T) => void; hideTitle?: boolean }) {
  return (
    <fieldset className="choices field">
      <legend className={hideTitle ? "hidden" : undefined}>{title}</legend>
      <div className="choices">
        {choices.map((choice) => (
          <label className="choice" key={choice.value}>
            <input type="radio" name={name} checked={choice.value === value} disabled={choice.disabled} onChange={() => onChange(choice.value)} />
            <span>{choice.look}{choice.title}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
