"""Who uses the clinician's side, what each may see, and the record of who saw and did what."""
