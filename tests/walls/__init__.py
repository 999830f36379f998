"""The walls between providers and districts, attacked from every route and every login."""
